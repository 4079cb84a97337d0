"""`python -m streampro`, and the file that `spark-submit` is given."""

import os
import sys

if __name__ == "__main__":
    own = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [each for each in sys.path if os.path.realpath(each) != own]
    from streampro.cli import main

    main()
