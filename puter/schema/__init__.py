"""Python types as JSON Schema, and JSON values as Python values: for tools and for typed answers.

Plain types are read here, with pydantic and without: str, int, float, bool, None, Any, Literal,
Enum, Optional and Union, list, set, frozenset, tuple, dict and their abstract forms, dataclass,
TypedDict, NamedTuple, Annotated (a str in it is the description), datetime, date, time, timedelta,
Decimal, UUID, Path, bytes, NewType. Any other type, or part of a type, is pydantic's: constraints,
models, generic classes and so on.
"""

from puter.schema.adapters import Exact, Mismatch, Schema, TypeAdapter, convert, plain
from puter.schema.compiler import Parameter, adapter, hints_of, object_adapter
from puter.schema.pydantic_types import is_field_info

__all__ = [
    "Exact",
    "Mismatch",
    "Parameter",
    "Schema",
    "TypeAdapter",
    "adapter",
    "convert",
    "hints_of",
    "is_field_info",
    "object_adapter",
    "plain",
]
