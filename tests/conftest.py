"""One thread per test process: small tensors, and often only two cores."""

import torch

torch.set_num_threads(1)
