"""The Parquet store. An edge module: it reads and writes the state directory.

On the disk::

    <state>/market/
        catalogue.json                      what there is; replaced last, in one rename
        series=AAPL@skfolio/<hash>.parquet  one file per series, named by its content, never changed
        .lock                               held by the one writer

A load writes new files first, and the catalogue last. Whatever happens in between, the catalogue that is there names
files that are whole, so a reader sees the store before the load or after it.
"""
