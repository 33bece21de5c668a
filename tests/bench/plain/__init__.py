"""The published networks written down as plainly as research code is: yardsticks for speed.

Each file follows the description of its paper and shares nothing with the package `detectors` but
the names of the weights, so it is a second, independent implementation too. Every `forward` returns
a tuple of maps of logits with the prediction first, in the order of ours: `(logits, *aux)`.
"""

from tests.bench.plain.acm import ACM
from tests.bench.plain.alcnet import ALCNet
from tests.bench.plain.dnanet import DNANet
from tests.bench.plain.mshnet import MSHNet
from tests.bench.plain.uiunet import UIUNet

PLAIN = {"mshnet": MSHNet, "dnanet": DNANet, "acm": ACM, "alcnet": ALCNet, "uiunet": UIUNet}
"""Name of our detector to the class of its plain form."""
