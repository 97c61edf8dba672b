"""The DataLad commands, one a file; the only place that imports DataLad, and only when one is used."""

command_suite = (
    "DataLad data sets on S3-compatible object storage",
    [
        ("datalad_s3ext.commands.s3_setup", "S3Setup", "s3-setup", "s3_setup"),
        ("datalad_s3ext.commands.s3_enable", "S3Enable", "s3-enable", "s3_enable"),
        ("datalad_s3ext.commands.s3_providers", "S3Providers", "s3-providers", "s3_providers"),
        ("datalad_s3ext.commands.s3_doctor", "S3Doctor", "s3-doctor", "s3_doctor"),
        ("datalad_s3ext.commands.s3_serve", "S3Serve", "s3-serve", "s3_serve"),
    ],
)
