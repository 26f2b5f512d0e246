"""The report of a study: one HTML file that needs nothing else, and its headline on the terminal.

Everything comes from plain data that a study leaves on disk, so a report can be rebuilt at any time
without a model.
"""

from jaxkd.report.page import write_report as write_report
from jaxkd.report.stages import StageReport as StageReport
from jaxkd.report.terminal import print_summary as print_summary
