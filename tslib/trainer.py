"""Only hands on what moved to `tslib.interop.trainer`, so that earlier imports go on working."""

from tslib.interop.trainer import RegularizerCallback as RegularizerCallback
from tslib.interop.trainer import add_regularizer as add_regularizer
from tslib.interop.trainer import cloud_of as cloud_of
