"""What goes on paper and into folders: ledger of lessons, book of the lab, supporting documents (台账、登记簿、佐证材料)."""
