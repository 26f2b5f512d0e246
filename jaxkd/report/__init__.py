"""Reports: a self-contained HTML file, and the headline of a study on the terminal.

Reports are made from plain data. A study stores its data on disk, so its report can be rebuilt at any time
without a model.
"""

from jaxkd.report.page import write_report as write_report
from jaxkd.report.stages import StageReport as StageReport
from jaxkd.report.terminal import print_summary as print_summary
