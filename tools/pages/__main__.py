"""Writes all generated pages and tables, from the template and from records/: part of `make update`."""

from __future__ import annotations

import json

from tools.environments import ROOT
from tools.pages import address, benchmarks, cluster, compression, fire, reference, troubleshooting, values


def main() -> None:
    """Write each page. That of least privilege is written when it is measured."""
    benchmarks.write()
    reference.main()
    troubleshooting.main()
    fire.write()
    compression.write()
    values.write()
    address.main()
    cluster.write_page(json.loads((ROOT / "records" / "cluster.json").read_text(encoding="utf-8")))
    print("Written: the generated pages of docs/, and the tables of README.md. `git diff` shows what changed.")


if __name__ == "__main__":
    main()
