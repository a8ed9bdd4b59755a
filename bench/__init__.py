"""The speed promises B1 to B12 and G12, beside peers and anchors that run in the same minute on the same cores.

    make bench                      all of them but B10
    make bench ONLY=B6 ROUNDS=5     one, with more rounds
    make bench ONLY=B10 SCALE=0.01  growth, with a hundredth of the rows

A benchmark is one file in `speed` and a line in its registry. What competes is in `contestants`, what physics allows
in `anchors`, what asks in `load`. Rounds are interleaved: each measures every contestant once, and the ratios are
taken within a round, so that what else happens on the machine meets all alike.
"""
