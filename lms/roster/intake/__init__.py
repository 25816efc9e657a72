"""Lists that schools keep in Excel, into the roster (导入): read safely, judge every row, apply all or nothing."""
