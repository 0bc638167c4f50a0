"""The version of the project, in one place: for packaging, the command line, checkpoints and ONNX files."""

__version__ = "0.2.0"
