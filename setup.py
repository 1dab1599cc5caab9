"""The C code, which a setup.cfg cannot name; all else is in setup.cfg and pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "timesad.nn.maps._compiled",
            sources=["timesad/nn/maps/_compiled.c"],
            depends=["timesad/nn/maps/_lanes.h"],
            extra_compile_args=["-O3", "-Wno-psabi"],
            libraries=["m", "dl"],
            py_limited_api=True,
            optional=True,  # where it cannot be compiled, torch's operations take its place
        )
    ]
)
