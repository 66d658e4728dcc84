;; Returns what is not JSON.
(data (i32.const 2048) "{'single': 1}")
(func $run (result i32 i32) (i32.const 2048) (i32.const 13))
