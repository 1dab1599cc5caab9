"""The methods of the peers table: ours, PyOD's time-series and row-wise detectors, and simple baselines.

Everything but the window length and the seed is a method's own default, unless its note says otherwise.
"""

from __future__ import annotations

from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest
from pyod.models.knn import KNN
from pyod.models.pca import PCA
from pyod.models.ts_anomaly_transformer import AnomalyTransformer
from pyod.models.ts_kshape import KShape
from pyod.models.ts_lstm import LSTMAD
from pyod.models.ts_matrix_profile import MatrixProfile
from pyod.models.ts_od import TimeSeriesOD
from pyod.models.ts_spectral_residual import SpectralResidual

from timesad import (
    AnomalyTransformerDetector,
    NearestWindowsDetector,
    TimesNetDetector,
    TimesNetDiscrepancyDetector,
)

from .baselines import CENTRE_MAPPING, LargestDeviation, NearestCentre, RandomScore, WindowedDetector
from .contract import PUBLISHED, PYOD_ROWS, PYOD_SERIES, SIMPLE, Method, Setup, index_methods
from .kan_ad import EPOCH_PAIRS, MIN_STEPS, KanAd
from .paano import PaAno
from .score_rules import REFERENCE_RULE, ScoreVariants
from .summary import row_name

OURS = "ours"
SAME = "same"  # equal to another row to the bit
DEFAULT_FAMILIES = (OURS, PYOD_SERIES, PYOD_ROWS, PUBLISHED, SIMPLE)

FLAGSHIP = "timesnet-discrepancy"
FLAGSHIP_DEFAULT = "default"
WITHOUT_PAST = "without-past"
FLAGSHIP_VARIANTS = {
    FLAGSHIP_DEFAULT: {},
    REFERENCE_RULE: {"score": "reconstruction"},
    WITHOUT_PAST: {"uses_past": False},
}
REFERENCE_METHOD = row_name(FLAGSHIP, FLAGSHIP_DEFAULT)
FLOOR_METHOD = "random-score"

# PyOD's deep detectors at their default size need hours a series without a GPU.
SMALL_MODEL_SIZE = 64
SMALL_LAYERS = 2
SMALL_EPOCHS = 10
SMALL_STEP = 10  # rows between training windows

# PyOD's PCA divides by each component's variance, so components without variance turn every score infinite.
EXPLAINED_VARIANCE = 0.99
# What TSB-AD found best on its tuning series: a quarter of the variance on multichannel, all of it on univariate ones
# (there its PCA sees windows of univariate series and single rows of multichannel ones).
SUB_PCA_MULTICHANNEL_VARIANCE = 0.25
KMEANS_CLUSTERS = 10
KNN_NEIGHBOURS = 50
# Defaults of PaAno's code; its authors' scripts have 96 rows and standardise every patch.
PAANO_RAW_WINDOW = 64  # rows
PAANO_RAW_ITERATIONS = 200


def timesnet_discrepancy(setup: Setup) -> ScoreVariants:
    """Build the flagship with its defaults at the run's window, scored by its default and two other settings.

    `discrepancy_weight=0` trains no association; these scores are the same to the bit with one.
    """
    detector = TimesNetDiscrepancyDetector(
        window_size=setup.window,
        clean_training=setup.clean_training,
        discrepancy_weight=0,
        random_state=setup.seed,
    )
    return ScoreVariants(detector, FLAGSHIP_VARIANTS)


def nearest_windows(setup: Setup) -> NearestWindowsDetector:
    """Build the nearest training windows with their defaults at the run's window."""
    return NearestWindowsDetector(window_size=setup.window, clean_training=setup.clean_training)


def timesnet(setup: Setup) -> TimesNetDetector:
    """Build our TimesNet with its defaults at the run's window."""
    return TimesNetDetector(window_size=setup.window, clean_training=setup.clean_training, random_state=setup.seed)


def anomaly_transformer(setup: Setup) -> AnomalyTransformerDetector:
    """Build our Anomaly Transformer with its defaults at the run's window."""
    return AnomalyTransformerDetector(
        window_size=setup.window, clean_training=setup.clean_training, random_state=setup.seed
    )


def pyod_anomaly_transformer(setup: Setup) -> AnomalyTransformer:
    """Build PyOD's Anomaly Transformer at a size that a CPU can train."""
    return AnomalyTransformer(
        window_size=setup.window,
        d_model=SMALL_MODEL_SIZE,
        n_layers=SMALL_LAYERS,
        epochs=SMALL_EPOCHS,
        step=SMALL_STEP,
    )


def pyod_lstm(setup: Setup) -> LSTMAD:
    """Build PyOD's LSTM forecaster with fewer epochs."""
    return LSTMAD(window_size=setup.window, epochs=SMALL_EPOCHS)


def pyod_windows_knn(setup: Setup) -> TimeSeriesOD:
    """Build PyOD's window bridge over KNN."""
    return TimeSeriesOD(KNN(), window_size=setup.window)


def pyod_windows_pca(setup: Setup) -> TimeSeriesOD:
    """Build PyOD's window bridge over PCA."""
    return TimeSeriesOD(PCA(n_components=EXPLAINED_VARIANCE, random_state=setup.seed), window_size=setup.window)


def pyod_windows_iforest(setup: Setup) -> TimeSeriesOD:
    """Build PyOD's window bridge over the isolation forest."""
    return TimeSeriesOD(IForest(random_state=setup.seed), window_size=setup.window)


def pyod_matrix_profile(setup: Setup) -> MatrixProfile:
    """Build PyOD's matrix profile."""
    return MatrixProfile(window_size=setup.window)


def pyod_spectral_residual(setup: Setup) -> SpectralResidual:
    """Build PyOD's spectral residual, which has no window."""
    return SpectralResidual()


def pyod_kshape(setup: Setup) -> KShape:
    """Build PyOD's k-Shape."""
    return KShape(window_size=setup.window, random_state=setup.seed)


def paano(setup: Setup) -> PaAno:
    """Build PaAno as published, its patches as long as the run's window."""
    return PaAno(window=setup.window, random_state=setup.seed)


def paano_raw(setup: Setup) -> PaAno:
    """Build PaAno with the defaults of its authors' code."""
    window = min(PAANO_RAW_WINDOW, setup.window)
    return PaAno(window=window, n_iterations=PAANO_RAW_ITERATIONS, standardise=False, random_state=setup.seed)


def kan_ad(setup: Setup) -> KanAd:
    """Build KAN-AD with its defaults at the run's window."""
    return KanAd(window=setup.window, random_state=setup.seed)


def row_iforest(setup: Setup) -> IForest:
    """Build PyOD's isolation forest on single rows."""
    return IForest(random_state=setup.seed)


def row_pca(setup: Setup) -> PCA:
    """Build PyOD's PCA on single rows."""
    return PCA(n_components=EXPLAINED_VARIANCE, random_state=setup.seed)


def row_ecod(setup: Setup) -> ECOD:
    """Build PyOD's ECOD on single rows."""
    return ECOD()


def window_pca(setup: Setup) -> WindowedDetector:
    """Build Sub-PCA as TSB-AD tuned it: PyOD's PCA on windows, each score at its window's centre."""
    variance = SUB_PCA_MULTICHANNEL_VARIANCE if setup.n_channels > 1 else None
    return WindowedDetector(
        PCA(n_components=variance, random_state=setup.seed), window=setup.window, mapping=CENTRE_MAPPING
    )


def window_kmeans(setup: Setup) -> WindowedDetector:
    """Build KMeansAD: distance of a window to the nearest of ten centres, averaged over overlaps."""
    return WindowedDetector(NearestCentre(n_clusters=KMEANS_CLUSTERS, random_state=setup.seed), window=setup.window)


def window_kmeans_shape(setup: Setup) -> WindowedDetector:
    """Build KMeansAD on windows standardised one by one, as TSB-AD's: shape counts, level does not."""
    centres = NearestCentre(n_clusters=KMEANS_CLUSTERS, random_state=setup.seed)
    return WindowedDetector(centres, window=setup.window, normalise=True)


def window_knn(setup: Setup) -> WindowedDetector:
    """Build KNN on windows: mean distance to the fifty nearest training windows, averaged over overlaps."""
    return WindowedDetector(KNN(n_neighbors=KNN_NEIGHBOURS, method="mean"), window=setup.window)


def largest_deviation(setup: Setup) -> LargestDeviation:
    """Build the per-channel z-score."""
    return LargestDeviation()


def random_score(setup: Setup) -> RandomScore:
    """Build the random score."""
    return RandomScore(random_state=setup.seed)


_OURS_NOTE = (
    "smooths its own scores (`smoothing`: 64 and 32 rows an error, 8 the score): "
    "its raw column is to be read beside the others' smoothed one"
)
_SMALL_TRANSFORMER_NOTE = (
    f"d_model {SMALL_MODEL_SIZE} (default 512), {SMALL_LAYERS} layers (3), a window every {SMALL_STEP} rows (1), "
    f"{SMALL_EPOCHS} epochs (the default)"
)
_PCA_NOTE = f"components of {EXPLAINED_VARIANCE:.0%} of the variance; the default divides by variances of zero"

METHODS = index_methods(
    (
        Method(
            FLAGSHIP,
            OURS,
            timesnet_discrepancy,
            note=f"{_OURS_NOTE}; *reconstruction* equals `TimesNetDetector` to the bit; `discrepancy_weight=0`, which "
            "changes none of these scores",
            scores=tuple(FLAGSHIP_VARIANTS),
            novelty=True,
        ),
        Method("nearest-windows", OURS, nearest_windows, stochastic=False, note=_OURS_NOTE, novelty=True),
        Method("timesnet", SAME, timesnet, note=f"the *reconstruction* of `{FLAGSHIP}`", novelty=True),
        Method("anomaly-transformer", OURS, anomaly_transformer, max_seeds=1, note=_OURS_NOTE, novelty=True),
        Method("pyod-anomaly-transformer", PYOD_SERIES, pyod_anomaly_transformer, note=_SMALL_TRANSFORMER_NOTE),
        Method("pyod-lstm", PYOD_SERIES, pyod_lstm, note=f"{SMALL_EPOCHS} epochs (default 50)"),
        Method("pyod-windows-knn", PYOD_SERIES, pyod_windows_knn, stochastic=False),
        Method("pyod-windows-pca", PYOD_SERIES, pyod_windows_pca, stochastic=False, note=_PCA_NOTE),
        Method("pyod-windows-iforest", PYOD_SERIES, pyod_windows_iforest),
        Method("pyod-matrix-profile", PYOD_SERIES, pyod_matrix_profile, stochastic=False, transductive=True),
        Method("pyod-spectral-residual", PYOD_SERIES, pyod_spectral_residual, stochastic=False, note="has no window"),
        Method("pyod-kshape", PYOD_SERIES, pyod_kshape),
        Method("pyod-iforest", PYOD_ROWS, row_iforest, note="single rows"),
        Method("pyod-pca", PYOD_ROWS, row_pca, stochastic=False, note=f"single rows; {_PCA_NOTE}"),
        Method("paano", PUBLISHED, paano, note="written here from its description"),
        Method(
            "paano-raw",
            PUBLISHED,
            paano_raw,
            note=f"the same with patches of {PAANO_RAW_WINDOW} rows that are not standardised",
        ),
        Method(
            "kan-ad",
            PUBLISHED,
            kan_ad,
            note="written here from the paper; forecasts one row ahead, one network for all channels, mean over "
            f"channels; an epoch has at most {EPOCH_PAIRS:,} windows and at least {MIN_STEPS} steps",
        ),
        Method("pyod-ecod", PYOD_ROWS, row_ecod, stochastic=False, note="single rows"),
        Method(
            "window-pca",
            SIMPLE,
            window_pca,
            stochastic=False,
            note=f"{SUB_PCA_MULTICHANNEL_VARIANCE:.0%} of the variance on multichannel, all on univariate series",
        ),
        Method("window-kmeans", SIMPLE, window_kmeans, note=f"{KMEANS_CLUSTERS} centres"),
        Method(
            "window-kmeans-shape",
            SIMPLE,
            window_kmeans_shape,
            note=f"{KMEANS_CLUSTERS} centres, each window standardised (TSB-AD's KMeansAD)",
        ),
        Method("window-knn", SIMPLE, window_knn, stochastic=False, note=f"{KNN_NEIGHBOURS} neighbours, mean distance"),
        Method("z-score", SIMPLE, largest_deviation, stochastic=False, note="largest over channels, no window"),
        Method(FLOOR_METHOD, SIMPLE, random_score, note="uniform noise"),
    )
)


def select_methods(names: list[str], registry: dict[str, Method]) -> list[Method]:
    """Return the methods named, or those of the families named, in the registry's order.

    Raises
    ------
    ValueError
        If a name is neither a method nor a family.
    """
    families = {method.family for method in registry.values()}
    unknown = [name for name in names if name not in registry and name not in families]
    if unknown:
        raise ValueError(
            f"Unknown methods {unknown}. Families: {', '.join(sorted(families))}. Methods: {', '.join(registry)}."
        )
    return [method for method in registry.values() if method.name in names or method.family in names]
