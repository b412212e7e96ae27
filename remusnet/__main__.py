"""``python -m remusnet``."""

from __future__ import annotations

from remusnet.cli.main import main

if __name__ == "__main__":
    main()
