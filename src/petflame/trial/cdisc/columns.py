"""The columns of the two datasets: each declared once, for Dataset-JSON, the tables and Define-XML alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Origin = Literal["Assigned", "Derived", "Predecessor"]


@dataclass(frozen=True)
class Codes:
    """A list of codes.

    Attributes
    ----------
    name : str
        Its identifier, upper case.
    title : str
    items : tuple of (code, decode)
        Numbers or text; in the order to show.
    """

    name: str
    title: str
    items: tuple[tuple[str | int, str], ...]


@dataclass(frozen=True)
class Column:
    """A column of a dataset.

    Attributes
    ----------
    name : str
        At most 8 characters.
    label : str
        At most 40 characters.
    kind : {'string', 'integer', 'double'}
        Data type of Dataset-JSON.
    origin : {'Assigned', 'Derived', 'Predecessor'}
        Origin of Define-XML.
    words : str
        Where it is from (assigned), how it is made (derived), or the column that it repeats (predecessor).
    codes : Codes, optional
    required : bool
        Whether every record has it.
    of_the_arms : bool
        Whether a blinded dataset goes without it.
    comment : str
    """

    name: str
    label: str
    kind: Literal["string", "integer", "double"]
    origin: Origin
    words: str
    codes: Codes | None = None
    required: bool = False
    of_the_arms: bool = False
    comment: str = ""


ARM = Codes("ARM", "Treatment arm", (("active", "Active treatment"), ("control", "Control")))
ARM_NUMBER = Codes("ARMN", "Treatment arm (N)", ((1, "active"), (0, "control")))
YES_NO = Codes("YN", "Yes or no", (("Y", "Yes"), ("N", "No")))
YES = Codes("Y", "Yes, else missing", (("Y", "Yes"),))
VISIT = Codes("AVISIT", "Analysis visit", (("Baseline", "Scan before treatment"), ("Follow-up", "Scan after it")))
VISIT_NUMBER = Codes("AVISITN", "Analysis visit (N)", ((0, "Baseline"), (1, "Follow-up")))
GRADE = Codes(
    "COMPGR",
    "Comparability of two scans",
    (("pass", "Comparable"), ("warn", "Comparable with a doubt"), ("fail", "Not comparable")),
)
CATEGORY = Codes(
    "PARCAT1",
    "Parameter category",
    (
        ("Primary", "Primary endpoint"),
        ("Vessel", "Each vessel by itself"),
        ("Secondary", "Secondary endpoint"),
        ("Negative control", "Quantity that treatment should not change"),
    ),
)

SUBJECT_COLUMNS: tuple[Column, ...] = (
    Column(
        "STUDYID",
        "Study Identifier",
        "string",
        "Assigned",
        "The study's identifier, as given to the analysis.",
        required=True,
    ),
    Column(
        "USUBJID",
        "Unique Subject Identifier",
        "string",
        "Assigned",
        "Code of the participant in the study's tables; codes are unique within the study.",
        required=True,
    ),
    Column(
        "TRT01P",
        "Planned Treatment for Period 01",
        "string",
        "Assigned",
        "Arm in the allocation table; missing where the table does not name the participant.",
        ARM,
        of_the_arms=True,
    ),
    Column(
        "TRT01PN",
        "Planned Treatment for Period 01 (N)",
        "integer",
        "Derived",
        "1 where TRT01P is active, 0 where it is control.",
        ARM_NUMBER,
        of_the_arms=True,
    ),
    Column(
        "RANDFL",
        "Randomized Population Flag",
        "string",
        "Derived",
        "Y where the allocation table names the participant.",
        YES_NO,
        required=True,
        of_the_arms=True,
    ),
    Column(
        "SCANFL",
        "Scanned Flag",
        "string",
        "Derived",
        "Y where the table of patients names the participant.",
        YES_NO,
        required=True,
    ),
    Column(
        "EVALFL",
        "Primary Analysis Set Flag",
        "string",
        "Derived",
        "Y where the participant is in the analysis set of the primary endpoint:",
        YES_NO,
        required=True,
    ),
    Column(
        "EVALREAS",
        "Reason for Exclusion from Analysis Set",
        "string",
        "Derived",
        "Why EVALFL is N, in words; missing where it is Y.",
    ),
    Column(
        "COMPGR",
        "Comparability Grade of the Two Scans",
        "string",
        "Derived",
        "Grade of the two scans in the table of patients; missing where they were not graded.",
        GRADE,
    ),
)
# Value-level metadata of Define-XML is given for these, parameter by parameter.
BY_PARAMETER = ("AVAL", "BASE", "CHG")
ANALYSIS_COLUMNS: tuple[Column, ...] = (
    Column("STUDYID", "Study Identifier", "string", "Predecessor", "ADSL.STUDYID", required=True),
    Column("USUBJID", "Unique Subject Identifier", "string", "Predecessor", "ADSL.USUBJID", required=True),
    Column("TRTP", "Planned Treatment", "string", "Predecessor", "ADSL.TRT01P", ARM, of_the_arms=True),
    Column("TRTPN", "Planned Treatment (N)", "integer", "Predecessor", "ADSL.TRT01PN", ARM_NUMBER, of_the_arms=True),
    Column(
        "PARCAT1",
        "Parameter Category 1",
        "string",
        "Assigned",
        "What the parameter is to the trial.",
        CATEGORY,
        required=True,
    ),
    Column(
        "PARAMCD",
        "Parameter Code",
        "string",
        "Assigned",
        "Code of PARAM.",
        required=True,
    ),
    Column(
        "PARAM",
        "Parameter",
        "string",
        "Assigned",
        "What was measured, with its unit; one for one with PARAMCD.",
        required=True,
    ),
    Column(
        "AVISIT",
        "Analysis Visit",
        "string",
        "Assigned",
        "The visit's name in the study.",
        VISIT,
        required=True,
    ),
    Column(
        "AVISITN",
        "Analysis Visit (N)",
        "integer",
        "Assigned",
        "Order of the visits.",
        VISIT_NUMBER,
        required=True,
    ),
    Column("AVAL", "Analysis Value", "double", "Derived", "Value of the parameter at the visit, in the unit of PARAM."),
    Column("BASE", "Baseline Value", "double", "Derived", "AVAL of the participant's record with ABLFL Y."),
    Column("CHG", "Change from Baseline", "double", "Derived", "AVAL - BASE at follow-up; missing at baseline."),
    Column(
        "PCHG",
        "Percent Change from Baseline",
        "double",
        "Derived",
        "100 x CHG / BASE, percent; missing at baseline, and where BASE is not above zero.",
    ),
    Column("ABLFL", "Baseline Record Flag", "string", "Derived", "Y for the baseline record with a value.", YES),
    Column(
        "ANL01FL",
        "Analysis Flag 01",
        "string",
        "Derived",
        "Y for both records of a participant who enters the analysis of the parameter: in the analysis set (EVALFL Y), "
        "with a value at both visits and, for a vessel, not withheld for a reader at either of them.",
        YES_NO,
        required=True,
        comment="The records with PARAMCD, AVISIT Follow-up and ANL01FL Y are those of the linear model "
        "AVAL ~ arm + BASE (+ strata) of this parameter.",
    ),
    Column(
        "ANLREAS",
        "Reason Record Not Analysed",
        "string",
        "Derived",
        "Why ANL01FL is N, in words; missing where it is Y.",
    ),
)
