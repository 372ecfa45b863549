"""The vote page: blind pairs of pictures, first which is more beautiful, then which shows what was asked for.

The two questions are those of Emu (2023), section 4.1: visual appeal with the caption hidden, then text faithfulness
with the caption shown.
"""
