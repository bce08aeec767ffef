module hocket/bench/peers/go

go 1.19
