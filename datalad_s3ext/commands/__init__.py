"""The DataLad commands, one a file; the only place that imports DataLad, and only when one is used."""

command_suite = (
    "DataLad data sets on S3-compatible object storage",
    [
        ("datalad_s3ext.commands.s3_setup", "S3Setup", "s3-setup", "s3_setup"),
        ("datalad_s3ext.commands.s3_enable", "S3Enable", "s3-enable", "s3_enable"),
        ("datalad_s3ext.commands.s3_providers", "S3Providers", "s3-providers", "s3_providers"),
        ("datalad_s3ext.commands.s3_doctor", "S3Doctor", "s3-doctor", "s3_doctor"),
        ("datalad_s3ext.commands.s3_status", "S3Status", "s3-status", "s3_status"),
        ("datalad_s3ext.commands.s3_import", "S3Import", "s3-import", "s3_import"),
        ("datalad_s3ext.commands.s3_restore", "S3Restore", "s3-restore", "s3_restore"),
        ("datalad_s3ext.commands.s3_serve", "S3Serve", "s3-serve", "s3_serve"),
        ("datalad_s3ext.commands.s3_mount", "S3Mount", "s3-mount", "s3_mount"),
        ("datalad_s3ext.commands.s3_cat", "S3Cat", "s3-cat", "s3_cat"),
        ("datalad_s3ext.commands.s3_copy", "S3Copy", "s3-copy", "s3_copy"),
        ("datalad_s3ext.commands.s3_export", "S3Export", "s3-export", "s3_export"),
        ("datalad_s3ext.commands.s3_migrate", "S3Migrate", "s3-migrate", "s3_migrate"),
    ],
)
