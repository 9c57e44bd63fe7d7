"""Networks: a timm backbone, pooling, and a linear projection to unit rows."""
