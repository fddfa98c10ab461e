"""``validate_data`` under one name: releases of scikit-learn have it in different places."""

from __future__ import annotations

from typing import Any

try:
    from sklearn.utils.validation import validate_data as validate_data
except ImportError:  # before scikit-learn 1.6

    def validate_data(estimator: Any, /, *arrays: Any, **options: Any) -> Any:
        """Return checked arrays, as the function of newer releases does."""
        return estimator._validate_data(*arrays, **options)
