"""The office's own Word or Excel file as the layout of a document (表样): read, bind to fields, fill in, leave all else as it is."""
