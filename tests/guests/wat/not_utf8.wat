;; Returns a string of JSON, but for a byte that is not UTF-8.
(data (i32.const 2048) "\"ol\e1\"")
(func $run (result i32 i32) (i32.const 2048) (i32.const 5))
