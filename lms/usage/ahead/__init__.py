"""Looking ahead (预测): slots that make up what is missing, and what would happen if; nothing here changes a record."""
