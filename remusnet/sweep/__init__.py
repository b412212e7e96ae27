"""One scenario at many checkpoint intervals, and which of them is best.

`grid` says which points are asked for, `running` what a scenario comes to at one of them, `table`
what many runs come to together, `optimum` which interval keeps all requirements and costs least.
"""
