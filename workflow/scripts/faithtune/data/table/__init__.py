"""Parts of `readers.table`: cells, options and answers of rows of any columns."""
