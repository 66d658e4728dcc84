;; Does nothing but ask the host for random bytes, for ever: work of the host's that costs the guest no fuel.
(component
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
  (core module $mem
    (memory (export "memory") 1000)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 131072)))
  (core instance $mem (instantiate $mem))
  (core func $draw (canon lower (func $random "get-random-bytes") (memory (core memory $mem "memory")) (realloc (core func $mem "realloc"))))
  (core module $guest
    (import "host" "draw" (func $draw (param i64 i32)))
    (import "mem" "memory" (memory 1000))
    (data (i32.const 4096) "{\"entries\":[{\"name\":\"run\",\"kind\":\"task\"}]}")
    (func (export "describe") (result i32)
      (i32.store (i32.const 1024) (i32.const 4096))
      (i32.store (i32.const 1028) (i32.const 42))
      (i32.const 1024))
    (func (export "call") (param i32 i32 i32 i32) (result i32)
      (loop $again (call $draw (i64.const 4000000) (i32.const 64)) (br $again)) unreachable))
  (core instance $host (export "draw" (func $draw)))
  (core instance $guest (instantiate $guest (with "host" (instance $host)) (with "mem" (instance $mem))))
  (type $task-error (record
    (field "kind" string) (field "message" string) (field "retryable" bool) (field "details" (option string))))
  (func $describe (result string)
    (canon lift (core func $guest "describe")
      (memory (core memory $mem "memory")) (realloc (core func $mem "realloc"))))
  (func $call (param "entry" string) (param "input" string) (result (result string (error $task-error)))
    (canon lift (core func $guest "call")
      (memory (core memory $mem "memory")) (realloc (core func $mem "realloc"))))
  (instance $module (export "task-error" (type $task-error)) (export "describe" (func $describe)) (export "call" (func $call)))
  (export "tarefa:guest/module@0.1.0" (instance $module)))
