;; Takes table elements without end.
(table $table 1 funcref)
(func $run (result i32 i32)
  (loop $again
    (drop (table.grow $table (ref.null func) (i32.const 10000)))
    (br $again))
  unreachable)
