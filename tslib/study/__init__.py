"""The study and its book: evidence, claims, tables, figures, benchmarks. Who only wants TSLoss never opens it.

May import every other room but ``commands``, the only one that imports from here.
"""

from tslib.errors import needs

needs("tune", "pandas", "statsmodels")
