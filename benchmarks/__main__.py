"""Run all benchmarks: `python -m benchmarks`."""

from benchmarks import answers, pages, send, start

if __name__ == "__main__":
    start.main()
    print()
    send.main()
    print()
    pages.main()
    print()
    answers.main()
