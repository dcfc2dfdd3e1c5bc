"""Mail formats and protocols: values in, bytes out. Imports neither tables nor pages; of our modules only `i18n`, `config`."""
