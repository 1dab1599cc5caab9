"""The C code, which a setup.cfg cannot name; all else is in setup.cfg and pyproject.toml."""

import os
import sysconfig

from setuptools import Extension, setup

# With TIMESAD_NO_C=1 the package has no C code: torch's operations take its place, and the wheel fits every platform.
# With TIMESAD_NO_C=0 a failed compilation ends the build. Otherwise it is a warning, which pip prints with -v only, and
# `timesad.show_versions()` reports it.
NO_C = os.environ.get("TIMESAD_NO_C", "")
WITH_C = NO_C in ("", "0")
# One wheel for all versions of Python, by its stable ABI, which a Python without the global lock has not.
STABLE = not sysconfig.get_config_var("Py_GIL_DISABLED")

code = Extension(
    "timesad.c_code._code",
    sources=[f"timesad/c_code/{name}.c" for name in ("module", "maps", "nearest")],
    depends=[f"timesad/c_code/{name}.h" for name in ("vectors", "widths", "maps_lanes", "nearest_lanes")],
    define_macros=[("Py_LIMITED_API", "0x030a0000")] if STABLE else [],
    # Clang before 14 contracts a * b + c to one instruction only if asked to.
    extra_compile_args=["-O3", "-ffp-contract=fast", "-Wno-psabi", "-fvisibility=hidden"],
    libraries=["m", "dl"],
    py_limited_api=STABLE,
    optional=NO_C != "0",
)
setup(
    ext_modules=[code] if WITH_C else [],
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if WITH_C and STABLE else {},
)
