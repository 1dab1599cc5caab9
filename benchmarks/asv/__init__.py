"""Times that asv compares between two commits; see ``asv.conf.json``.

asv imports this folder as a package of its own, beside the timesad of the commit that it measures. So nothing here
imports ``benchmarks``, and only what is public in timesad.
"""
