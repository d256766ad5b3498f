"""From notebooks to pages: running them, finishing and assembling pages, the PDF, the reference.

Imports everything else of the study.
"""

from tslib.errors import needs

needs("tune", "pandas")
