"""The verb `lorgnette complexity`."""

from __future__ import annotations

from typing import Annotated

import typer

NetworksArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONFIG|NAME]...",
        help="Experiments (YAML) or timm's names of backbones [the three published networks].",
    ),
]
SizeOption = Annotated[
    int, typer.Option("--size-px", min=16, max=4096, help="Side of the image, in pixels.")
]


def complexity(networks: NetworksArgument = None, *, size_px: SizeOption = 362) -> None:
    """Print parameters and GFLOPs of networks beside the published ones.

    \b
    Examples:
      lorgnette complexity
      lorgnette complexity training/configs/student_lite0.yaml mobilenetv2_100
    """
    from rich.console import Console
    from rich.table import Table

    from training.models.complexity import (
        CONVENTION,
        described,
        measure,
        published,
        published_networks,
    )

    table = Table()
    table.add_column("network", no_wrap=True)
    for header in ("million\nparameters", "published", "GFLOPs", "published", "products\nonly"):
        table.add_column(header, justify="right")
    for label, network in map(described, networks) if networks else published_networks():
        found, stated = measure(network, size_px=size_px), published(network, size_px=size_px)
        table.add_row(
            label,
            f"{found.parameters / 1e6:.2f}",
            f"{stated.parameters:.2f}" if stated else "–",
            f"{found.flops / 1e9:.2f}",
            f"{stated.gflops:.2f}" if stated else "–",
            f"{found.product_flops / 1e9:.2f}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"At {size_px} px. {CONVENTION} Products only: without batch norm and ReLU. Published: "
        "Budnik and Avrithis, CVPR 2021, at 362 px.",
        style="dim",
    )
