"""`python -m streampro`, and the file that `spark-submit` is given."""

import sys
from pathlib import Path

if __name__ == "__main__":
    own = Path(__file__).parent.resolve()
    sys.path[:] = [each for each in sys.path if Path(each).resolve() != own]
    from streampro.cli import main

    main()
