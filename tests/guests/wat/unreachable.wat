;; Traps.
(func $run (result i32 i32) unreachable)
