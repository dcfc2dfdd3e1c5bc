"""Letters: values in, bytes out. Knows no tables and no pages; may use only `words` of our own modules."""
