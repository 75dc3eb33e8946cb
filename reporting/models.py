"""The tables of the reporting domain; each is described where it is."""

from reporting.rollups.tables import RollUp, RollUpState, RollUpTotal
from reporting.runs.tables import ReportDelivery, ReportEdition, ReportRun
from reporting.subscribing.tables import Subscription

__all__ = ["ReportDelivery", "ReportEdition", "ReportRun", "RollUp", "RollUpState", "RollUpTotal", "Subscription"]
