"""All measurements, one after the other: `python -m benchmarks`."""

from benchmarks import pages, send

if __name__ == "__main__":
    send.main()
    print()
    pages.main()
