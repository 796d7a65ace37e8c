"""From DICOM to the effect per arm: one petflame verb a rule; the science is in the package."""

import sys
from shlex import quote

from petflame.errors import LONGEST_MESSAGE, PetflameError, capped
from petflame.privacy import shortened, with_names
from petflame.workflow import closing_summary, plan_workflow

configfile: "config/config.yaml"


try:
    # The texts of the command line: snakemake has turned 2024_01 into the number 202401 by now.
    run = plan_workflow(config, workflow.config_settings.config_args)
    # The process that plans compares the study with what the results were made from; jobs go by what it found.
    if workflow.is_main_process:
        reads = run.check_reads()
        for reason in run.mark_stale():
            print(reason, file=sys.stderr)
        for doubt in (*run.doubts, *reads):
            print(f"warning: {with_names(shortened(doubt, LONGEST_MESSAGE))}", file=sys.stderr)
except PetflameError as error:
    for fault in capped(error.faults):
        print(f"error: {with_names(str(fault))}", file=sys.stderr)
    sys.exit(2)

if "--no-hooks" in sys.argv:
    run.begin()

OUT = run.out
CODES = sorted(run.study.by_code)
PAIRS = sorted(code for code, visits in run.study.pairs.items() if None not in visits)
# Jobs run in the order of the codes, which are random, so that times of files do not tell which visit came first.
PRIORITY = {code: rank for rank, code in enumerate([*reversed(CODES), *sorted(PAIRS, reverse=True)], start=1)}
TABLES = [run.study.root / f"{name}.tsv" for name in ("participants", "visits", "allocation", "outcomes")]
FOLLOWED = run.table("allocation.tsv") and run.table("outcomes.tsv")
MARKER = [run.study.root / "truth.json"] if run.simulated else []


wildcard_constraints:
    code=r"[VP][0-9A-F]{10}",


localrules:
    all,


rule all:
    input:
        OUT.report,


if run.simulated:

    rule simulate:
        output:
            MARKER,
            TABLES,
        params:
            study=run.study.root,
        log:
            OUT.log("simulate", "trial"),
        conda:
            "envs/petflame.yaml"
        threads: workflow.cores
        resources:
            mem_mb=1500,
        shell:
            "petflame simulate --patients 60 --size fast --cores {threads} -- {params.study:q} > {log:q} 2>&1"


def visit(wildcards):
    return run.study.by_code[wildcards.code]


# Here and below, parameters with a user's text are functions: snakemake takes braces in plain ones for wildcards.
rule convert:
    input:
        MARKER,
        stale=lambda w: run.stale("convert", w.code),
    output:
        OUT.visit("{code}").step("convert"),
    params:
        dicom=lambda w: visit(w).dicom_dir,
        folder=lambda w: OUT.visit(w.code).root,
        overrides=lambda w: f"--overrides {quote(str(visit(w).overrides))}" if visit(w).overrides else "",
        require="--require-suv" if run.settings.require_suv else "",
        protocol=lambda w: run.protocol_option,
        record=run.record_option,
    priority: lambda w: PRIORITY[w.code]
    log:
        OUT.log("convert", "{code}"),
    conda:
        "envs/petflame.yaml"
    resources:
        mem_mb=1500,
    shell:
        "petflame convert --out {params.folder:q} {params.protocol} {params.overrides} {params.require} {params.record} "
        "-- {params.dicom:q} > {log:q} 2>&1"


# A checkpoint, so that another visit's new scan makes a visit anew only where its own verdict changed.
checkpoint identify:
    input:
        [OUT.visit(code).step("convert") for code in CODES],
        stale=run.stale("identify"),
    output:
        OUT.step("identify"),
    params:
        study=run.study.root,
        out=OUT.root,
        record=run.record_option,
    log:
        OUT.log("identify", "trial"),
    conda:
        "envs/petflame.yaml"
    resources:
        mem_mb=1000,
    shell:
        "petflame identify --out {params.out:q} {params.record} -- {params.study:q} > {log:q} 2>&1"


def verdict(wildcards):
    checkpoints.identify.get()
    return OUT.visit(wildcards.code).step("identify")


rule segment:
    input:
        rules.convert.output,
        stale=lambda w: run.stale("segment", w.code),
    output:
        OUT.visit("{code}").step("segment"),
    params:
        folder=lambda w: OUT.visit(w.code).root,
        method=lambda w: run.method_of(visit(w)),
        source=lambda w: f"--from {quote(str(run.source_of(visit(w))))}" if run.source_of(visit(w)) else "",
        protocol=lambda w: run.protocol_option,
        edits=lambda w: f"--edits {quote(str(run.edits_of(visit(w))))}" if run.edits_of(visit(w)) else "",
        record=run.record_option,
    priority: lambda w: PRIORITY[w.code]
    log:
        OUT.log("segment", "{code}"),
    conda:
        "envs/petflame.yaml"
    resources:
        mem_mb=2000,
    shell:
        "petflame segment --method {params.method} {params.source} {params.edits} {params.protocol} {params.record} "
        "-- {params.folder:q} > {log:q} 2>&1"


rule measure:
    input:
        rules.segment.output,
        verdict=verdict,
        stale=lambda w: run.stale("measure", w.code),
    output:
        OUT.visit("{code}").step("measure"),
    params:
        folder=lambda w: OUT.visit(w.code).root,
        protocol=lambda w: run.protocol_option,
        record=run.record_option,
    priority: lambda w: PRIORITY[w.code]
    log:
        OUT.log("measure", "{code}"),
    conda:
        "envs/petflame.yaml"
    resources:
        mem_mb=1500,
    shell:
        "petflame measure {params.protocol} {params.record} -- {params.folder:q} > {log:q} 2>&1"


def folders_of_pair(wildcards):
    return [OUT.visit(run.study.code(v.participant_id, v.visit)) for v in run.study.pairs[wildcards.code]]


rule pair:
    input:
        # In the order of the codes: in that of the visits, the graph and with it the jobs would know which is first.
        lambda w: sorted(folder.step("measure") for folder in folders_of_pair(w)),
        stale=lambda w: run.stale("pair", w.code),
    output:
        OUT.pair("{code}").step("pair"),
    params:
        visits=lambda w: [folder.root for folder in folders_of_pair(w)],
        folder=lambda w: OUT.pair(w.code).root,
        participant=lambda w: run.study.participant_of(w.code),
        table=run.study.root / "visits.tsv",
        protocol=lambda w: run.protocol_option,
        reliability=lambda w: run.reliability_option,
        record=run.record_option,
    priority: lambda w: PRIORITY[w.code]
    log:
        OUT.log("pair", "{code}"),
    conda:
        "envs/petflame.yaml"
    resources:
        # Registering takes the CTs of both visits.
        mem_mb=3000 if run.protocol.pairing.registers else 1000,
    shell:
        "petflame pair --out {params.folder:q} --participant {params.participant} --visits {params.table:q} "
        "{params.protocol} {params.reliability} {params.record} -- {params.visits:q} > {log:q} 2>&1"


rule collect:
    input:
        pairs=[OUT.pair(code).step("pair") for code in PAIRS],
        visits=[OUT.visit(code).step("measure") for code in CODES],
        identity=OUT.step("identify"),
        stale=run.stale("collect"),
    output:
        OUT.patients,
        OUT.vessels,
        OUT.exclusions,
        OUT.variations,
    params:
        study=run.study.root,
        out=OUT.root,
        protocol=lambda w: run.protocol_option,
        reads=run.reads_option,
    log:
        OUT.log("collect", "trial"),
    conda:
        "envs/petflame.yaml"
    resources:
        mem_mb=1000,
    shell:
        "petflame collect --out {params.out:q} {params.protocol} {params.reads} -- {params.study:q} > {log:q} 2>&1"


# The only rule that has the allocation among its inputs: everything before it is blind.
rule analyse:
    input:
        patients=OUT.patients,
        vessels=OUT.vessels,
        exclusions=OUT.exclusions,
        variations=OUT.variations,
        allocation=ancient(run.table("allocation.tsv") or []),
        participants=ancient(run.table("participants.tsv") or []),
        stale=run.stale("analyse"),
    output:
        OUT.analysed,
    params:
        out=OUT.root,
        protocol=lambda w: run.protocol_option,
        people=f"--participants {quote(str(run.table('participants.tsv')))}" if run.table("participants.tsv") else "",
        arms=f"--allocation {quote(str(run.table('allocation.tsv')))}" if run.table("allocation.tsv") else "",
        options=lambda w: run.analysis_options,
    log:
        OUT.log("analyse", "trial"),
    conda:
        "envs/petflame.yaml"
    resources:
        mem_mb=1500,
    shell:
        "petflame analyse --vessels {input.vessels:q} --exclusions {input.exclusions:q} "
        "--variations {input.variations:q} {params.protocol} {params.arms} {params.people} {params.options} "
        "--out {params.out:q} -- {input.patients:q} > {log:q} 2>&1"


# Exploratory, and apart: a table that is refused here leaves the effect per arm and the report as they are.
if FOLLOWED:

    rule outcomes:
        input:
            patients=OUT.patients,
            allocation=ancient(run.table("allocation.tsv")),
            outcomes=ancient(run.table("outcomes.tsv")),
            # Steps on one folder run one after the other. Not ancient: below a job that runs, Snakemake looks at no other
            # reason of a job that hangs on it by ancient files alone.
            after=OUT.arms,
            stale=run.stale("outcomes"),
        output:
            OUT.step("outcomes"),
        params:
            out=OUT.root,
            record=run.record_option,
        log:
            OUT.log("outcomes", "trial"),
        conda:
            "envs/petflame.yaml"
        resources:
            mem_mb=1000,
        shell:
            "petflame outcomes --allocation {input.allocation:q} --patients {input.patients:q} --out {params.out:q} "
            "{params.record} -- {input.outcomes:q} > {log:q} 2>&1"


rule report:
    input:
        OUT.analysed,
        [OUT.step("outcomes")] if FOLLOWED else [],
        stale=run.stale("report"),
    output:
        OUT.report,
        OUT.provenance,
        OUT.report_hashes,
    params:
        out=OUT.root,
        study=run.study.root,
        protocol=lambda w: run.protocol_option,
    log:
        OUT.log("report", "trial"),
    conda:
        "envs/petflame.yaml"
    threads: 2
    resources:
        mem_mb=2500,
    shell:
        "petflame report --study {params.study:q} {params.protocol} --cores {threads} -- {params.out:q} > {log:q} 2>&1"


onstart:
    run.begin()


onsuccess:
    print(closing_summary(OUT))


onerror:
    print("the run did not finish: the failed job's log, named above, says why; finished work is kept")
