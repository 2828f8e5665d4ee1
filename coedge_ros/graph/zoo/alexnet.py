"""AlexNet and its small descendant CNN-F: large first kernels, local response norm, three linear layers."""

from __future__ import annotations

from torch import nn

from coedge_ros.graph.zoo.blocks import linear_head, relu


def alexnet(classes: int = 1000) -> nn.Module:
    """Return AlexNet for (N, 3, 224, 224).

    Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks, NeurIPS 2012.
    The two GPUs of the paper are the two groups of the second, fourth and fifth convolution. The first convolution
    pads 2 pixels, with which the paper's 224 pixels give its 55 x 55 map.
    """

    # The paper's alpha multiplies the sum over 5 channels, torch's alpha their mean.
    def norm() -> nn.Module:
        return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)

    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 96, 11, 4, 2), relu(), norm(), nn.MaxPool2d(3, 2)),
        nn.Sequential(nn.Conv2d(96, 256, 5, 1, 2, groups=2), relu(), norm(), nn.MaxPool2d(3, 2)),
        nn.Sequential(nn.Conv2d(256, 384, 3, 1, 1), relu()),
        nn.Sequential(nn.Conv2d(384, 384, 3, 1, 1, groups=2), relu()),
        nn.Sequential(nn.Conv2d(384, 256, 3, 1, 1, groups=2), relu(), nn.MaxPool2d(3, 2)),
        linear_head(256 * 6 * 6, classes),
    )


def vgg_f(classes: int = 1000) -> nn.Module:
    """Return CNN-F ("VGG-f") for (N, 3, 224, 224).

    Chatfield, Simonyan, Vedaldi, Zisserman: Return of the devil in the details, BMVC 2014, table 1.
    Pooling rounds up, so that the 54 rows of the first map become 27.
    """

    def norm() -> nn.Module:
        return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)

    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 64, 11, 4), relu(), norm(), pool()),
        nn.Sequential(nn.Conv2d(64, 256, 5, 1, 2), relu(), norm(), pool()),
        nn.Sequential(nn.Conv2d(256, 256, 3, 1, 1), relu()),
        nn.Sequential(nn.Conv2d(256, 256, 3, 1, 1), relu()),
        nn.Sequential(nn.Conv2d(256, 256, 3, 1, 1), relu(), pool()),
        linear_head(256 * 6 * 6, classes),
    )
