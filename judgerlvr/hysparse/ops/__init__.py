"""Operations of HySparse: the literal reference, block selection, and the choice of implementation by device."""
