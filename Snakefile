# The front door: `snakemake --cores N` here runs the study of config/config.yaml.
# The workflow itself is in workflow/, where the workflow catalog and modules look for it.
include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
