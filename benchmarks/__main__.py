"""All measurements, one after the other: `python -m benchmarks`."""

from benchmarks import pages, send, start

if __name__ == "__main__":
    start.main()
    print()
    send.main()
    print()
    pages.main()
