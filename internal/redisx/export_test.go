package redisx

// Judge is for versions and states that no server here can be brought into.
var Judge = judge
