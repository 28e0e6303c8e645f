"""Numbers quoted from the literature, each with its claim id and its source.

Nothing here is measured by us, and the one number we compute says so. Accuracies and
errors are in percent, for one crop and one network unless said otherwise; a value the
source does not give is None.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt


@dataclass(frozen=True, kw_only=True)
class Source:
    """A publication, and, where a record cites it, the place in it.

    Attributes:
        key: the short name used in claims and in the article, such as "BN".
        authors: full names in the order of the title page.
        year: of the version cited.
        title: as printed.
        arxiv: arXiv id, or None if it is not on arXiv.
        url: where to read it.
        where: section, table or figure; "" for the work as a whole.

    """

    key: str
    authors: tuple[str, ...]
    year: int
    title: str
    url: str
    arxiv: str | None = None
    where: str = ""

    def at(self, where: str) -> Source:
        """Return this source with a place in it, such as "figure 3"."""
        return replace(self, where=where)


def _arxiv(key: str, year: int, arxiv: str, title: str, *authors: str) -> Source:
    return Source(key=key, authors=authors, year=year, title=title, url=f"https://arxiv.org/abs/{arxiv}", arxiv=arxiv)


SOURCES: dict[str, Source] = {
    source.key: source
    for source in (
        _arxiv(
            "BN",
            2015,
            "1502.03167",
            "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
            "Sergey Ioffe",
            "Christian Szegedy",
        ),
        _arxiv(
            "S",
            2018,
            "1805.11604",
            "How Does Batch Normalization Help Optimization?",
            "Shibani Santurkar",
            "Dimitris Tsipras",
            "Andrew Ilyas",
            "Aleksander Madry",
        ),
        _arxiv(
            "Y",
            2019,
            "1902.08129",
            "A Mean Field Theory of Batch Normalization",
            "Greg Yang",
            "Jeffrey Pennington",
            "Vinay Rao",
            "Jascha Sohl-Dickstein",
            "Samuel S. Schoenholz",
        ),
        _arxiv("GN", 2018, "1803.08494", "Group Normalization", "Yuxin Wu", "Kaiming He"),
        _arxiv(
            "ILSVRC",
            2014,
            "1409.0575",
            "ImageNet Large Scale Visual Recognition Challenge",
            "Olga Russakovsky",
            "Jia Deng",
            "Hao Su",
            "Jonathan Krause",
            "Sanjeev Satheesh",
            "Sean Ma",
            "Zhiheng Huang",
            "Andrej Karpathy",
            "Aditya Khosla",
            "Michael Bernstein",
            "Alexander C. Berg",
            "Li Fei-Fei",
        ),
        Source(
            key="K",
            authors=("Andrej Karpathy",),
            year=2014,
            title="What I learned from competing against a ConvNet on ImageNet",
            url="https://karpathy.github.io/2014/09/02/what-i-learned-from-competing-against-a-convnet-on-imagenet/",
        ),
        _arxiv(
            "vL",
            2017,
            "1706.05350",
            "L2 Regularization versus Batch and Weight Normalization",
            "Twan van Laarhoven",
        ),
        _arxiv(
            "A",
            2018,
            "1812.03981",
            "Theoretical Analysis of Auto Rate-Tuning by Batch Normalization",
            "Sanjeev Arora",
            "Zhiyuan Li",
            "Kaifeng Lyu",
        ),
        _arxiv(
            "B",
            2018,
            "1806.02375",
            "Understanding Batch Normalization",
            "Johan Bjorck",
            "Carla Gomes",
            "Bart Selman",
            "Kilian Q. Weinberger",
        ),
        _arxiv(
            "PH",
            2020,
            "1912.07145",
            "PyHessian: Neural Networks Through the Lens of the Hessian",
            "Zhewei Yao",
            "Amir Gholami",
            "Kurt Keutzer",
            "Michael W. Mahoney",
        ),
        _arxiv(
            "LN",
            2016,
            "1607.06450",
            "Layer Normalization",
            "Jimmy Lei Ba",
            "Jamie Ryan Kiros",
            "Geoffrey E. Hinton",
        ),
        _arxiv(
            "BRN",
            2017,
            "1702.03275",
            "Batch Renormalization: Towards Reducing Minibatch Dependence in Batch-Normalized Models",
            "Sergey Ioffe",
        ),
        Source(
            key="Sh",
            authors=("Hidetoshi Shimodaira",),
            year=2000,
            title="Improving predictive inference under covariate shift by weighting the log-likelihood function",
            url="https://doi.org/10.1016/S0378-3758(00)00115-4",
        ),
        Source(
            key="GB",
            authors=("Xavier Glorot", "Yoshua Bengio"),
            year=2010,
            title="Understanding the difficulty of training deep feedforward neural networks",
            url="https://proceedings.mlr.press/v9/glorot10a.html",
        ),
        _arxiv(
            "He",
            2015,
            "1502.01852",
            "Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet Classification",
            "Kaiming He",
            "Xiangyu Zhang",
            "Shaoqing Ren",
            "Jian Sun",
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Quoted:
    """What every record carries: the claim it belongs to ("R3") and where it was published."""

    claim: str
    source: Source


@dataclass(frozen=True, kw_only=True)
class ImageNetSetup(Quoted):
    """How the networks of `IMAGENET` were trained."""

    classes: int
    parameters: float
    batch_size: int
    optimizer: str
    normalized: str


IMAGENET_SETUP = ImageNetSetup(
    classes=1000,
    parameters=13.6e6,
    batch_size=32,
    optimizer="stochastic gradient descent with momentum",
    normalized="the input of every nonlinearity",
    claim="R1",
    source=SOURCES["BN"].at("section 4.2"),
)


@dataclass(frozen=True, kw_only=True)
class ImageNetRun(Quoted):
    """One network trained on ImageNet.

    Attributes:
        name: as in the paper, such as "BN-x5".
        initial_learning_rate: learning rate at the first step.
        steps_to_72_2: steps to 72.2 %, Inception's maximum; None if never, or not published.
        max_accuracy: highest validation accuracy, percent.
        steps_to_max: steps to that maximum; None if not published.

    """

    name: str
    initial_learning_rate: float | None
    steps_to_72_2: float | None
    max_accuracy: float
    steps_to_max: float | None


_FIGURE_3 = SOURCES["BN"].at("section 4.2.2 and figure 3")

IMAGENET: dict[str, ImageNetRun] = {
    "inception": ImageNetRun(
        name="Inception",
        initial_learning_rate=0.0015,
        steps_to_72_2=31.0e6,
        max_accuracy=72.2,
        steps_to_max=31.0e6,
        claim="R2",
        source=_FIGURE_3,
    ),
    "bn_baseline": ImageNetRun(
        name="BN-Baseline",
        initial_learning_rate=0.0015,  # Inception with BN and nothing else changed (R1)
        steps_to_72_2=13.3e6,
        max_accuracy=72.7,
        steps_to_max=None,
        claim="R3",
        source=_FIGURE_3,
    ),
    "bn_x5": ImageNetRun(
        name="BN-x5",
        initial_learning_rate=0.0075,
        steps_to_72_2=2.1e6,
        max_accuracy=73.0,
        steps_to_max=None,
        claim="R4",
        source=_FIGURE_3,
    ),
    "bn_x30": ImageNetRun(
        name="BN-x30",
        initial_learning_rate=0.045,
        steps_to_72_2=2.7e6,
        max_accuracy=74.8,
        steps_to_max=6e6,
        claim="R5",
        source=_FIGURE_3,
    ),
    "bn_x5_sigmoid": ImageNetRun(
        name="BN-x5-Sigmoid",
        initial_learning_rate=0.0075,  # BN-x5 with another nonlinearity (R7)
        steps_to_72_2=None,
        max_accuracy=69.8,
        steps_to_max=None,
        claim="R7",
        source=_FIGURE_3,
    ),
}


@dataclass(frozen=True, kw_only=True)
class FailedRun(Quoted):
    """A network without BN that did not train.

    Attributes:
        name: the network.
        change: what set it apart from Inception.
        outcome: what happened.
        max_accuracy: the accuracy it never beat, percent; None if not published.

    """

    name: str
    change: str
    outcome: str
    max_accuracy: float | None


FAILED_RUNS: dict[str, FailedRun] = {
    "inception_x5": FailedRun(
        name="Inception",
        change="the initial learning rate of BN-x5, 0.0075",
        outcome="its parameters reached machine infinity",
        max_accuracy=None,
        claim="R4",
        source=SOURCES["BN"].at("section 4.2.2"),
    ),
    "inception_sigmoid": FailedRun(
        name="Inception",
        change="sigmoid in place of ReLU",
        outcome="its accuracy never beat chance, one class in 1000",
        max_accuracy=0.1,
        claim="R7",
        source=SOURCES["BN"].at("section 4.2.2"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class RecipeChange(Quoted):
    """Something other than BN and the learning rate that BN-x5 changed.

    Attributes:
        what: the change, in words.
        factor: by how much, where it is a factor ("divided by 5": 5).
        accuracy_gain: what it is said to bring by itself, percent, where that is said.

    """

    what: str
    factor: float | None = None
    accuracy_gain: float | None = None


_SECTION_4_2_1 = SOURCES["BN"].at("section 4.2.1")

BN_X5_CHANGES: tuple[RecipeChange, ...] = (
    RecipeChange(what="Dropout removed", claim="R6", source=_SECTION_4_2_1),
    RecipeChange(what="L2 weight divided by 5", factor=5, claim="R6", source=_SECTION_4_2_1),
    RecipeChange(what="learning rate decayed 6 times faster", factor=6, claim="R6", source=_SECTION_4_2_1),
    RecipeChange(what="local response normalization removed", claim="R6", source=_SECTION_4_2_1),
    RecipeChange(
        what="training examples shuffled more thoroughly", accuracy_gain=1, claim="R6", source=_SECTION_4_2_1
    ),
    RecipeChange(what="less photometric distortion", claim="R6", source=_SECTION_4_2_1),
)


@dataclass(frozen=True, kw_only=True)
class Ensemble(Quoted):
    """Top-5 error on ImageNet, percent, of several networks or crops together.

    Attributes:
        name: the network or ensemble.
        networks: how many; None where the explainer does not quote it.
        crops: crops of each image; None likewise.
        dropout: range of Dropout used in some of the networks, percent; None if not quoted.
        validation_error: on the 50,000 validation images; None if not quoted.
        test_error: on the 100,000 test images; None if not quoted.

    """

    name: str
    networks: int | None = None
    crops: int | None = None
    dropout: tuple[float, float] | None = None
    validation_error: float | None = None
    test_error: float | None = None


_FIGURE_4 = SOURCES["BN"].at("section 4.2.3 and figure 4")

ENSEMBLES: dict[str, Ensemble] = {
    "bn_inception": Ensemble(
        name="BN-Inception ensemble",
        networks=6,
        crops=144,
        dropout=(5, 10),
        validation_error=4.9,
        test_error=4.82,
        claim="R8",
        source=_FIGURE_4,
    ),
    "googlenet": Ensemble(name="GoogLeNet ensemble", validation_error=6.67, claim="R8", source=_FIGURE_4),
    "deep_image": Ensemble(name="Deep Image ensemble", validation_error=5.98, claim="R8", source=_FIGURE_4),
    "prelu": Ensemble(name="PReLU networks", test_error=4.94, claim="R8", source=SOURCES["He"].at("abstract")),
}


@dataclass(frozen=True, kw_only=True)
class HumanRater(Quoted):
    """A person who classified ImageNet test images by hand.

    Attributes:
        name: which of the two.
        images: how many images.
        top5_error: percent.
        googlenet_error: GoogLeNet's top-5 error on the same images; None if not quoted.

    """

    name: str
    images: int
    top5_error: float
    googlenet_error: float | None

    @property
    def standard_error(self) -> float:
        """Binomial standard error of top5_error, in percentage points: computed by us."""
        return sqrt(self.top5_error * (100 - self.top5_error) / self.images)


HUMAN_RATERS: dict[str, HumanRater] = {
    "first": HumanRater(
        name="first annotator, trained",
        images=1500,
        top5_error=5.1,
        googlenet_error=6.8,
        claim="R9",
        source=SOURCES["ILSVRC"].at("section 6.4"),
    ),
    "second": HumanRater(
        name="second annotator, less practised",
        images=258,
        top5_error=12.0,
        googlenet_error=None,
        claim="R9",
        source=SOURCES["ILSVRC"].at("section 6.4"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class MnistNetwork(Quoted):
    """The small network of the paper's first experiment.

    Attributes:
        image_shape: height and width of the binary images.
        hidden_layers: number of units of each hidden layer.
        activation: nonlinearity of the hidden layers.
        initial_weights: in words, for the paper gives no number.
        steps: training steps.
        batch_size: examples a step.
        percentiles: of one sigmoid's input, whose course the paper draws.
        learning_rate, momentum, weight_std: None, for the paper gives none of them.

    """

    image_shape: tuple[int, int]
    hidden_layers: tuple[int, ...]
    activation: str
    initial_weights: str
    steps: int
    batch_size: int
    percentiles: tuple[int, int, int]
    learning_rate: None = None
    momentum: None = None
    weight_std: None = None


MNIST = MnistNetwork(
    image_shape=(28, 28),
    hidden_layers=(100, 100, 100),
    activation="sigmoid",
    initial_weights="small random Gaussian values",
    steps=50_000,
    batch_size=60,
    percentiles=(15, 50, 85),
    claim="R10",
    source=SOURCES["BN"].at("section 4.1 and figure 1"),
)


@dataclass(frozen=True, kw_only=True)
class SmallBatch(Quoted):
    """ResNet-50's validation error on ImageNet, percent, at one batch size."""

    images_per_worker: int
    batch_norm_error: float
    group_norm_error: float


SMALL_BATCHES: tuple[SmallBatch, ...] = tuple(
    SmallBatch(
        images_per_worker=images,
        batch_norm_error=batch_norm_error,
        group_norm_error=group_norm_error,
        claim="S5",
        source=SOURCES["GN"].at("table 2"),
    )
    for images, batch_norm_error, group_norm_error in (
        (32, 23.6, 24.1),
        (16, 23.7, 24.2),
        (8, 24.8, 24.0),
        (4, 27.3, 24.2),
        (2, 34.7, 24.1),
    )
)
