"""From DICOM to the effect per arm: one petflame verb a rule; the science is in the package."""

import sys
from shlex import quote

from petflame.errors import PetflameError
from petflame.workflow import closing_summary, plan_workflow

configfile: "config/config.yaml"


try:
    # The texts of the command line: snakemake has turned 2024_01 into the number 202401 by now.
    run = plan_workflow(config, workflow.config_settings.config_args)
except PetflameError as error:
    for fault in error.faults:
        print(f"error: {fault}", file=sys.stderr)
    sys.exit(2)

if "--no-hooks" in sys.argv:
    run.begin()

OUT = run.out
CODES = sorted(run.study.by_code)
PAIRS = sorted(code for code, visits in run.study.pairs.items() if None not in visits)
# Jobs run in the order of the codes, which are random, so that times of files do not tell which visit came first.
PRIORITY = {code: rank for rank, code in enumerate([*reversed(CODES), *sorted(PAIRS, reverse=True)], start=1)}
TABLES = [run.study.root / f"{name}.tsv" for name in ("participants", "visits", "allocation", "outcomes")]
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
    output:
        OUT.visit("{code}").step("convert"),
    params:
        dicom=lambda w: visit(w).dicom_dir,
        state=lambda w: run.state_of(visit(w).dicom_dir, visit(w).overrides),
        choices=run.choices,
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
    output:
        OUT.step("identify"),
    params:
        study=run.study.root,
        out=OUT.root,
        visits=CODES,
        choices=run.choices,
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
    output:
        OUT.visit("{code}").step("segment"),
    params:
        folder=lambda w: OUT.visit(w.code).root,
        method=lambda w: run.method_of(visit(w)),
        source=lambda w: f"--from {quote(str(run.source_of(visit(w))))}" if run.source_of(visit(w)) else "",
        edits=lambda w: f"--edits {quote(str(visit(w).edits))}" if visit(w).edits else "",
        state=lambda w: run.sources_of(visit(w)),
        choices=run.choices,
        record=run.record_option,
    priority: lambda w: PRIORITY[w.code]
    log:
        OUT.log("segment", "{code}"),
    conda:
        "envs/petflame.yaml"
    resources:
        mem_mb=2000,
    shell:
        "petflame segment --method {params.method} {params.source} {params.edits} {params.record} -- {params.folder:q} "
        "> {log:q} 2>&1"


rule measure:
    input:
        rules.segment.output,
        verdict,
    output:
        OUT.visit("{code}").step("measure"),
    params:
        folder=lambda w: OUT.visit(w.code).root,
        protocol=lambda w: run.protocol_option,
        choices=run.choices,
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
    output:
        OUT.pair("{code}").status,
    params:
        visits=lambda w: [folder.root for folder in folders_of_pair(w)],
        folder=lambda w: OUT.pair(w.code).root,
        participant=lambda w: run.study.participant_of(w.code),
        table=run.study.root / "visits.tsv",
        glucose=lambda w: [v.glucose_mmol_l if v else None for v in run.study.pairs[w.code]],
        protocol=lambda w: run.protocol_option,
        choices=run.choices,
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
        "{params.protocol} {params.record} -- {params.visits:q} > {log:q} 2>&1"


rule collect:
    input:
        pairs=[OUT.pair(code).status for code in PAIRS],
        visits=[OUT.visit(code).step("measure") for code in CODES],
        identity=OUT.step("identify"),
    output:
        OUT.patients,
        OUT.vessels,
        OUT.exclusions,
        OUT.variations,
    params:
        study=run.study.root,
        out=OUT.root,
        protocol=lambda w: run.protocol_option,
        choices=run.choices,
    log:
        OUT.log("collect", "trial"),
    conda:
        "envs/petflame.yaml"
    resources:
        mem_mb=1000,
    shell:
        "petflame collect --out {params.out:q} {params.protocol} -- {params.study:q} > {log:q} 2>&1"


# The only rule that has the allocation among its inputs: everything before it is blind.
rule analyse:
    input:
        patients=OUT.patients,
        vessels=OUT.vessels,
        exclusions=OUT.exclusions,
        variations=OUT.variations,
        allocation=run.table("allocation.tsv") or [],
        participants=run.table("participants.tsv") or [],
        outcomes=run.table("outcomes.tsv") or [],
    output:
        OUT.arms,
    params:
        out=OUT.root,
        protocol=lambda w: run.protocol_option,
        people=f"--participants {quote(str(run.table('participants.tsv')))}" if run.table("participants.tsv") else "",
        arms=f"--allocation {quote(str(run.table('allocation.tsv')))}" if run.table("allocation.tsv") else "",
        options=lambda w: run.analysis_options,
        followup=(
            f"&& petflame outcomes --allocation {quote(str(run.table('allocation.tsv')))} "
            f"--patients {quote(str(OUT.patients))} --out {quote(str(OUT.root))} "
            f"-- {quote(str(run.table('outcomes.tsv')))}"
            if run.table("outcomes.tsv") and run.table("allocation.tsv")
            else ""
        ),
    log:
        OUT.log("analyse", "trial"),
    conda:
        "envs/petflame.yaml"
    resources:
        mem_mb=1500,
    shell:
        "(petflame analyse --vessels {input.vessels:q} --exclusions {input.exclusions:q} "
        "--variations {input.variations:q} {params.protocol} {params.arms} {params.people} {params.options} "
        "--out {params.out:q} -- {input.patients:q} {params.followup}) > {log:q} 2>&1"


rule report:
    input:
        OUT.arms,
    output:
        OUT.report,
        OUT.provenance,
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
