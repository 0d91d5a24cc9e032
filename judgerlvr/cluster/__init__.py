"""Processes and Ray: the environment of a process, arguments of ``ray.init``."""
